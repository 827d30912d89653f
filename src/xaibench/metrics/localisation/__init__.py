"""Localisation metrics: which vessels does the map show?"""
