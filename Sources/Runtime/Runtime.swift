// Layer Runtime.
