terraform {
  # 1.11 brought write-only arguments: a secret's first value then stands in no state.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  # The state belongs to the team, not to a laptop: see "Remote state" in ../README.md.
  # backend "s3" {}
}

provider "aws" {
  region = var.region
  # With the wrong credentials nothing happens, instead of the right thing in the wrong place.
  allowed_account_ids = var.account == null ? null : [var.account]

  default_tags {
    tags = local.labels
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}
