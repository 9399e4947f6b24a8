// Layer Engine.
