"""Configs of training runs: plain values; --config.KEY=VALUE changes a value."""
