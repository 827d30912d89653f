"""Faithfulness metrics: does the network use what the map shows?"""
