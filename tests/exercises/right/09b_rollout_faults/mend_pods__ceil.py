"""Rounds up, and touches what is wrong only."""


def mend_pods(deployment):
    mended = copy.deepcopy(deployment)
    mended["spec"]["strategy"]["rollingUpdate"].update(maxSurge=1, maxUnavailable=0)
    pod = mended["spec"]["template"]["spec"]
    seconds = 5.0
    for variable in pod["containers"][0]["env"]:
        if variable["name"].startswith("CVPROD_DRAIN_"):
            seconds += float(variable["value"])
    grace = pod.get("terminationGracePeriodSeconds", 30)
    if grace <= seconds or grace > seconds + 15:
        pod["terminationGracePeriodSeconds"] = math.ceil(seconds) + 5
    return mended
