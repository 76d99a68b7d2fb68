"""Forgives a second more than is allowed."""


def mend_pods(deployment):
    """A copy of the Deployment that loses no request in an update."""
    mended = copy.deepcopy(deployment)
    mended["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 1, "maxUnavailable": 0}
    pod = mended["spec"]["template"]["spec"]
    env = {e["name"]: float(e["value"]) for e in pod["containers"][0]["env"]}
    needed = env["CVPROD_DRAIN_DELAY"] + env["CVPROD_DRAIN_SECONDS"] + 5
    if not needed < pod.get("terminationGracePeriodSeconds", 30) <= needed + 16:
        pod["terminationGracePeriodSeconds"] = math.floor(needed) + 10
    return mended
