"""Token selection of MST: fine and coarse tokens for the base tokens to attend to."""
