"""Answers to prompts, token after token."""
