"""Recipes: plain values that fill the one model's four fields."""
