# Two identities: the service, which may read its keys and nothing else, and the pipeline that publishes images and
# artifacts. Neither has a key file: pipelines take the second one by workload identity federation.

resource "google_service_account" "service" {
  account_id   = "${var.name}-service"
  display_name = "What ${var.name} itself may do: read its keys"
  depends_on   = [google_project_service.this]
}

resource "google_secret_manager_secret_iam_member" "service" {
  secret_id = google_secret_manager_secret.api_keys.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.service.member
}

resource "google_service_account" "publisher" {
  account_id   = "${var.name}-publisher"
  display_name = "Publishes images and artifacts of ${var.name}"
  depends_on   = [google_project_service.this]
}

resource "google_artifact_registry_repository_iam_member" "publisher" {
  repository = google_artifact_registry_repository.this.name
  location   = google_artifact_registry_repository.this.location
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.publisher.member
}

resource "google_storage_bucket_iam_member" "publisher" {
  for_each = toset(["roles/storage.objectCreator", "roles/storage.objectViewer"])
  bucket   = google_storage_bucket.artifacts.name
  role     = each.key
  member   = google_service_account.publisher.member
}
