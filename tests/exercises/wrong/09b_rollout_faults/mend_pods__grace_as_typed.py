"""The number for the pods of the example."""


def mend_pods(deployment):
    mended = copy.deepcopy(deployment)
    mended["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 1, "maxUnavailable": 0}
    mended["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 40
    return mended
