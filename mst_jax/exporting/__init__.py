"""Exported models: files that hold the network or a whole click as one program."""
