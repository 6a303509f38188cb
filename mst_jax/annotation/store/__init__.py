"""The database of the server: sessions, objects, labels and the index of images."""
