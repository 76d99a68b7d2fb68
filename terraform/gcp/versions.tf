terraform {
  # 1.11 brought write-only arguments: a secret's first value then stands in no state.
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
  }

  # The state belongs to the team, not to a laptop: see "Remote state" in ../README.md.
  # backend "gcs" {}
}

provider "google" {
  project        = var.account
  region         = var.region
  default_labels = local.labels
  # Budgets belong to the billing account; with a person's credentials their calls are counted on this project.
  user_project_override = true
  billing_project       = var.account
}

data "google_project" "this" {
  project_id = var.account
}

resource "google_project_service" "this" {
  for_each = toset([
    "artifactregistry", "billingbudgets", "certificatemanager", "cloudkms", "cloudresourcemanager", "compute", "dns",
    "logging", "monitoring", "run", "secretmanager", "storage",
  ])
  service = "${each.key}.googleapis.com"
  # Others in the project may use it too.
  disable_on_destroy = false
}
