"""Files of networks: averages, NVIDIA's format."""
