"""The published models: recipes that build a `ClickModel` from the values of a config."""
