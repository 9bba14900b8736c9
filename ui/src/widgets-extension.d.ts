// Comes with ipywidgets into JupyterLab; at build time it is not there, nor is it bundled.
declare module '@jupyter-widgets/jupyterlab-manager';
