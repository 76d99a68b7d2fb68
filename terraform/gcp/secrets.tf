# The file of API keys: hashes only, one JSON object a line (python -m cvprod.serving keys). Terraform makes the secret
# and its first value, which lets nobody in; people and pipelines put the later ones, and no state ever holds them.

resource "google_secret_manager_secret" "api_keys" {
  secret_id = "${var.name}-api-keys"

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  # An old version can be brought back for a week after it was destroyed.
  version_destroy_ttl = "604800s"
  depends_on          = [google_project_service.this]
}

resource "google_secret_manager_secret_version" "api_keys" {
  secret                 = google_secret_manager_secret.api_keys.id
  secret_data_wo         = "# no key yet"
  secret_data_wo_version = 1
}
