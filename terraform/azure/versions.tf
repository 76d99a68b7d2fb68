terraform {
  # 1.11 brought write-only arguments: a secret's first value then stands in no state.
  required_version = ">= 1.11"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.10"
    }
  }

  # The state belongs to the team, not to a laptop: see "Remote state" in ../README.md.
  # backend "azurerm" {}
}

provider "azurerm" {
  subscription_id = var.account
  # The account of artifacts has no keys that could leak: storage is spoken to as oneself.
  storage_use_azuread = true

  features {}
}

data "azurerm_client_config" "current" {}
