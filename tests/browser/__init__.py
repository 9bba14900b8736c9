"""JupyterLab with tsf in a real browser."""
