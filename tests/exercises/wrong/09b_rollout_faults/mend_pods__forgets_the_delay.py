"""The drain alone: the seconds of being not ready are missing."""


def mend_pods(deployment):
    mended = copy.deepcopy(deployment)
    mended["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 1, "maxUnavailable": 0}
    pod = mended["spec"]["template"]["spec"]
    env = {e["name"]: float(e["value"]) for e in pod["containers"][0]["env"]}
    pod["terminationGracePeriodSeconds"] = int(env["CVPROD_DRAIN_SECONDS"]) + 6
    return mended
