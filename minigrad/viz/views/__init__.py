"""Views of models: what layers respond to, what predictions depend on, which mistakes are made."""
