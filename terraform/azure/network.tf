# The environment stands in a network of ours: in comes the plant, out goes what the platform itself needs, and nothing
# else.

resource "azurerm_virtual_network" "this" {
  name                = var.name
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  address_space       = ["10.20.0.0/20"]
  tags                = local.labels
}

resource "azurerm_subnet" "this" {
  name                 = "service"
  resource_group_name  = azurerm_resource_group.this.name
  virtual_network_name = azurerm_virtual_network.this.name
  address_prefixes     = ["10.20.0.0/24"]

  service_endpoint {
    service = "Microsoft.KeyVault"
  }

  delegation {
    name = "container-apps"

    service_delegation {
      name    = "Microsoft.App/environments"
      actions = ["Microsoft.Network/virtualNetworks/subnets/join/action"]
    }
  }
}

locals {
  # What Container Apps need to call: images of the platform and ours, identities, the vault, logs.
  platform = {
    MicrosoftContainerRegistry  = ["443"]
    "AzureFrontDoor.FirstParty" = ["443"]
    AzureContainerRegistry      = ["443"]
    AzureActiveDirectory        = ["443"]
    AzureKeyVault               = ["443"]
    AzureMonitor                = ["443"]
    Storage                     = ["443"]
  }
}

resource "azurerm_network_security_group" "this" {
  name                = var.name
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  tags                = local.labels

  # No rule for port 80: a client that sends its key in clear text should fail, not be redirected after the fact.
  security_rule {
    name                       = "plant"
    description                = "HTTPS from the plant"
    priority                   = 100
    direction                  = "Inbound"
    access                     = "Allow"
    protocol                   = "Tcp"
    source_address_prefixes    = var.allowed_cidrs
    source_port_range          = "*"
    destination_address_prefix = "*"
    destination_port_ranges    = ["443", "31443"]
  }

  security_rule {
    name                       = "probes"
    description                = "Azure's balancer asks whether the environment lives"
    priority                   = 110
    direction                  = "Inbound"
    access                     = "Allow"
    protocol                   = "Tcp"
    source_address_prefix      = "AzureLoadBalancer"
    source_port_range          = "*"
    destination_address_prefix = "*"
    destination_port_range     = "30000-32767"
  }

  security_rule {
    name                       = "inside"
    description                = "The environment's own parts"
    priority                   = 120
    direction                  = "Inbound"
    access                     = "Allow"
    protocol                   = "*"
    source_address_prefix      = "10.20.0.0/24"
    source_port_range          = "*"
    destination_address_prefix = "10.20.0.0/24"
    destination_port_range     = "*"
  }

  security_rule {
    name                       = "nothing-in"
    description                = "Nobody else"
    priority                   = 4000
    direction                  = "Inbound"
    access                     = "Deny"
    protocol                   = "*"
    source_address_prefix      = "*"
    source_port_range          = "*"
    destination_address_prefix = "*"
    destination_port_range     = "*"
  }

  dynamic "security_rule" {
    for_each = { for index, service in sort(keys(local.platform)) : service => index }

    content {
      name                       = "to-${replace(security_rule.key, ".", "-")}"
      description                = "The platform's own calls"
      priority                   = 200 + security_rule.value
      direction                  = "Outbound"
      access                     = "Allow"
      protocol                   = "Tcp"
      source_address_prefix      = "10.20.0.0/24"
      source_port_range          = "*"
      destination_address_prefix = security_rule.key
      destination_port_ranges    = local.platform[security_rule.key]
    }
  }

  security_rule {
    name                       = "to-inside"
    description                = "The environment's own parts, and names"
    priority                   = 300
    direction                  = "Outbound"
    access                     = "Allow"
    protocol                   = "*"
    source_address_prefix      = "10.20.0.0/24"
    source_port_range          = "*"
    destination_address_prefix = "10.20.0.0/24"
    destination_port_range     = "*"
  }

  security_rule {
    name                       = "to-names"
    description                = "Azure's DNS"
    priority                   = 310
    direction                  = "Outbound"
    access                     = "Allow"
    protocol                   = "*"
    source_address_prefix      = "10.20.0.0/24"
    source_port_range          = "*"
    destination_address_prefix = "168.63.129.16"
    destination_port_range     = "53"
  }

  security_rule {
    name                       = "nothing-out"
    description                = "The service calls nobody"
    priority                   = 4000
    direction                  = "Outbound"
    access                     = "Deny"
    protocol                   = "*"
    source_address_prefix      = "*"
    source_port_range          = "*"
    destination_address_prefix = "*"
    destination_port_range     = "*"
  }
}

resource "azurerm_subnet_network_security_group_association" "this" {
  subnet_id                 = azurerm_subnet.this.id
  network_security_group_id = azurerm_network_security_group.this.id
}
