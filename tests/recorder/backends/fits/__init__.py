"""Fits with a recorder, on the framework that Keras runs on here.

``KERAS_BACKEND=jax pytest tests/recorder/backends/fits`` is the same for another framework.
"""
