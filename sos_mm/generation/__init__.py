"""Generative models from diffusers: objects drawn from words, and generative relighting."""
