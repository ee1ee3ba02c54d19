"""Asynchronous training by replicas and parameter servers, on Ray."""
