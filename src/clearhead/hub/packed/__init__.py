"""Folders whose matrices are kept in whole numbers: opened for several tools, written for compressed-tensors."""
