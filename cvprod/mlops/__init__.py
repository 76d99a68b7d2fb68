"""Keep a model right: versions and their lineage, triggers, labels, and the pipeline from a drift to a new champion.

Nothing here imports a deep-learning framework: what is retrained is the last layer, on the served network's own
embeddings (`heads`). `registry` needs MLflow, `pipeline` Dagster; both take seconds to import, so neither is imported
by the package itself.
"""
