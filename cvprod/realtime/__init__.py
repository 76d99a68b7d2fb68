"""Pipelines, batches and concurrency, small enough to be read in a chapter and real enough to be measured."""
