"""Takes no pod away and brings none: the update never begins."""


def mend_pods(deployment):
    mended = copy.deepcopy(deployment)
    mended["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 0, "maxUnavailable": 0}
    mended["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 40
    return mended
