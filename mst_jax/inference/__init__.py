"""The model for people who only want masks: sessions, predictor, overlay pictures."""
