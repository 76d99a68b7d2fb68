# The same variables as in ../aws and ../gcp, with the same types (tests/terraform/test_interface.py). Only the
# defaults of `account` and `region` and a few descriptions belong to this cloud.

variable "account" {
  description = "The account that all of it belongs to: the id of a subscription."
  type        = string
}

variable "region" {
  description = "Where it runs. The default is near the plant."
  type        = string
  default     = "germanywestcentral"
}

variable "name" {
  description = "What everything is called."
  type        = string
  default     = "inspection"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "A name has 3 to 20 lower-case letters, digits and hyphens, begins with a letter and ends with none."
  }
}

variable "environment" {
  description = "Production, staging, ...: a label, by which the bill can be read."
  type        = string
  default     = "production"
}

variable "labels" {
  description = "More labels (tags) on everything that can have them, such as a cost centre."
  type        = map(string)
  default     = {}
}

variable "image" {
  description = "The container image: of the registry below, by tag or, better, by digest (REGISTRY/inspection@sha256:...)."
  type        = string

  validation {
    condition     = can(regex("(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_.-]+)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "Name the image with a digest or a tag that does not move; \"latest\" is another image tomorrow."
  }
}

variable "domain_name" {
  description = "The service's name in DNS. A zone of this name is made; delegate it to the output name_servers."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain_name))
    error_message = "A domain name has lower-case labels with dots between them, such as inspection.example.com."
  }
}

variable "allowed_cidrs" {
  description = "Networks (IPv4) that may connect: the plant's own."
  type        = list(string)

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrnetmask(cidr))])
    error_message = "Name at least one IPv4 network, such as 203.0.113.0/24."
  }
}

variable "alert_email" {
  description = "Who hears of alarms and of the budget."
  type        = string

  validation {
    condition     = can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", var.alert_email))
    error_message = "Give an e-mail address."
  }
}

variable "vcpu" {
  description = "Virtual CPUs of one instance; the service starts as many workers."
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 2, 4], var.vcpu)
    error_message = "All three clouds offer 1, 2 and 4 virtual CPUs."
  }
}

variable "memory_gib" {
  description = "Memory of one instance, GiB. The least that goes with one virtual CPU on all three clouds is 2."
  type        = number
  default     = 2

  validation {
    condition     = var.memory_gib >= 2 * var.vcpu && var.memory_gib <= 8 * var.vcpu && floor(var.memory_gib) == var.memory_gib
    error_message = "Memory is a whole number of GiB, two to eight for each virtual CPU."
  }
}

variable "min_instances" {
  description = "Instances that always run. Two are in two zones: one may fall."
  type        = number
  default     = 2

  validation {
    condition     = var.min_instances >= 2
    error_message = "With fewer than two instances, the failure of one is a failure of the service."
  }
}

variable "max_instances" {
  description = "Instances at most: the brake on cost."
  type        = number
  default     = 6

  validation {
    condition     = var.max_instances >= var.min_instances
    error_message = "max_instances is at least min_instances."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([30, 60, 90, 120, 180, 365], var.log_retention_days)
    error_message = "All three clouds keep logs for 30, 60, 90, 120, 180 or 365 days."
  }
}

variable "artifact_retention_days" {
  description = "Days that a replaced or deleted artifact can still be brought back."
  type        = number
  default     = 90
}

variable "monthly_budget" {
  description = "What a month may cost, in the currency of the bill. Warnings come at 80 %, and when 100 % is forecast."
  type        = number
  default     = 400
}

variable "cost_anomaly_alarm" {
  description = "Watch for unusual spending too. A subscription has one such alarm for all that is in it."
  type        = bool
  default     = false
}

variable "contract_file" {
  description = "The plant's contract, from which the alarms follow. Null is the repository's deploy/contract.yaml."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Refuse to destroy the balancer, and buckets and registries with something in them. True in production."
  type        = bool
  default     = false
}
