"""The model for people with a mouse: sessions, their pictures and objects, and HTTP."""
