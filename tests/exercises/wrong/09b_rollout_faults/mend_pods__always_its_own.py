"""Sets its own grace period, also where the given one was right."""


def mend_pods(deployment):
    mended = copy.deepcopy(deployment)
    mended["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 1, "maxUnavailable": 0}
    pod = mended["spec"]["template"]["spec"]
    env = {e["name"]: float(e["value"]) for e in pod["containers"][0]["env"]}
    needed = env["CVPROD_DRAIN_DELAY"] + env["CVPROD_DRAIN_SECONDS"] + 5
    if True:
        pod["terminationGracePeriodSeconds"] = math.floor(needed) + 10
    return mended
