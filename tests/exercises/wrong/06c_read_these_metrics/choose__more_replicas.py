"""Takes the most replicas, whatever is wrong."""


def choose(m, now, manifests):
    return max(range(len(manifests)), key=lambda i: manifests[i].get("replicas", now["replicas"]))
