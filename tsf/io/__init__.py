"""Where bytes come from and go to: Prometheus, the demo fleet, gateways, files and the model registry."""
