# Images: scanned when they arrive, never overwritten, and the old ones thrown away.

resource "google_artifact_registry_repository" "this" {
  # checkov:skip=CKV_GCP_84:Google's own key encrypts images; a key of ours needs an identity of the registry that exists only after its first use
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "Images of ${var.name}"

  docker_config {
    immutable_tags = true
  }

  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }

  cleanup_policies {
    id     = "untagged"
    action = "DELETE"

    condition {
      tag_state  = "UNTAGGED"
      older_than = "604800s"
    }
  }

  cleanup_policies {
    id     = "last-30"
    action = "KEEP"

    most_recent_versions {
      keep_count = 30
    }
  }

  depends_on = [google_project_service.this]
}
