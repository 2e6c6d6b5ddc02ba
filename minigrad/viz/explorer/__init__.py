"""Drawings on a screen: boxes that open, values under the pointer, steps forward and backward."""
