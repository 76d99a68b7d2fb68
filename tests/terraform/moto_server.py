"""moto's server, with what it lacks for an apply, an empty plan and a destroy. Runs in moto's own environment.

Each gap is an answer that the real AWS gives and moto does not: it says 500 or leaves a field out, and the provider
tries again for minutes or wants to change the resource at every plan. Nothing here makes a wrong configuration right.
"""

import inspect
import json
import sys

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.budgets.responses import BudgetsResponse
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.server import main

tags = {}
KINDS = ("NotificationType", "ComparisonOperator", "ThresholdType", "Threshold")


def describe_subscribers_for_notification(self):
    """Budgets: who is told by one notification of a budget."""
    budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
    asked = self._get_param("Notification")
    for notification in budget.notifications:
        if all(notification.details.get(kind) == asked.get(kind) for kind in KINDS):
            return json.dumps({"Subscribers": notification.subscribers})
    return json.dumps({"Subscribers": []})


def remember(response, action, key, given):
    """Keep the tags that `action` of `response` brings, for list_tags_for_resource."""
    original = getattr(response, action)

    def keeping(self):
        tags[key(self)] = given(self)
        return original(self)

    setattr(response, action, keeping)


BudgetsResponse.describe_subscribers_for_notification = describe_subscribers_for_notification
remember(
    BudgetsResponse,
    "create_budget",
    lambda self: "budget/" + self._get_param("Budget")["BudgetName"],
    lambda self: self._get_param("ResourceTags") or [],
)
BudgetsResponse.list_tags_for_resource = lambda self: json.dumps(
    {"ResourceTags": tags.get("budget/" + self._get_param("ResourceARN").partition("budget/")[2], [])}
)
remember(
    ApplicationAutoScalingResponse,
    "register_scalable_target",
    lambda self: "scalable-target",
    lambda self: self._get_param("Tags") or tags.get("scalable-target", {}),
)
ApplicationAutoScalingResponse.list_tags_for_resource = lambda self: json.dumps(
    {"Tags": tags.get("scalable-target", {})}
)

create_service = EC2ContainerServiceResponse.create_service


def with_all_it_was_given(self):
    """ECS: a new service keeps its grace period, and says that it does not rebalance zones unless it was asked to."""
    answer = create_service(self)
    service = answer.result["service"]
    service.health_check_grace_period_seconds = self._get_param("healthCheckGracePeriodSeconds")
    service.availability_zone_rebalancing = self._get_param("availabilityZoneRebalancing") or "DISABLED"
    return answer


EC2ContainerServiceResponse.create_service = with_all_it_was_given

made = SecurityGroupRule.__init__


def with_its_description(self, *args, **kwargs):
    """EC2: a rule keeps its description where it names a group or a prefix list, not only where it names addresses."""
    made(self, *args, **kwargs)
    given = inspect.signature(made).bind(self, *args, **kwargs).arguments
    for other in ("source_group", "prefix_list_id"):
        self.ip_range |= {k: v for k, v in (given.get(other) or {}).items() if k == "Description"}


SecurityGroupRule.__init__ = with_its_description

if __name__ == "__main__":
    main(sys.argv[1:])
