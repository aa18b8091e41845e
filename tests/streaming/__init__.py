"""Tests of jtconv/streaming."""
