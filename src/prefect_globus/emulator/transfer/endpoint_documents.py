"""The document of a collection (contract section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_globus.emulator.identities import OWNER_ID, OWNER_NAME, username

if TYPE_CHECKING:
    from prefect_globus.emulator.collections.model import CollectionSpec

Document = dict[str, Any]

ENDPOINT: Document = {
    "DATA_TYPE": "endpoint",
    "owner_id": OWNER_ID,
    "owner_string": OWNER_NAME,
    "organization": "Local Globus emulator",
    "department": None,
    "keywords": None,
    "description": None,
    "contact_email": None,
    "contact_info": None,
    "info_link": None,
    "user_message": None,
    "user_message_link": None,
    "public": False,
    "subscription_id": None,
    "subscription_admin_verified": None,
    "french_english_bilingual": False,
    "default_directory": "/~/",
    "force_encryption": False,
    "force_verify": False,
    "disable_verify": False,
    "disable_anonymous_writes": False,
    "mfa_required": False,
    "expire_time": None,
    "expires_in": -1,
    "activated": True,
    "myproxy_server": None,
    "myproxy_dn": None,
    "oauth_server": None,
    "requester_pays": False,
    "is_globus_connect": True,
    "gcs_version": None,
    "globus_connect_setup_key": None,
    "gcp_connected": True,
    "gcp_paused": False,
    "host_endpoint": None,
    "host_endpoint_id": None,
    "host_endpoint_display_name": None,
    "host_path": None,
    "s3_url": None,
    "s3_owner_activated": False,
    "acl_available": False,
    "acl_editable": False,
    "in_use": False,
    "my_effective_roles": [],
    "network_use": "normal",
    "location": None,
    "max_concurrency": 1,
    "preferred_concurrency": 1,
    "max_parallelism": 1,
    "preferred_parallelism": 1,
    "local_user_info_available": False,
    "https_server": None,
    "tlsftp_server": None,
    "gcs_manager_url": None,
    "high_assurance": False,
    "authentication_timeout_mins": None,
    "authentication_policy_id": None,
    "acl_max_expiration_period_mins": None,
    "authentication_assurance_timeout": None,
    "auto_delete_timeout": None,
    "skip_auto_delete": None,
    "last_accessed_time": None,
    "non_functional": False,
    "non_functional_endpoint_id": None,
    "non_functional_endpoint_display_name": None,
    "mapped_collection_id": None,
    "mapped_collection_display_name": None,
    "shareable": False,
    "sharing_target_endpoint": None,
    "sharing_target_root_path": None,
    "restrict_transfers_to_high_assurance": None,
    "associated_flow_policy": None,
    "preserve_modtime": True,
    "DATA": [],
}


# What differs in a collection of a Globus Connect Server, the only kind that needs the data_access consent.
SERVER_COLLECTION: Document = {
    "is_globus_connect": False,
    "gcp_connected": None,
    "gcp_paused": None,
    "gcs_version": "5.4.10",
    "high_assurance": False,
}


def entity_type(collection: CollectionSpec) -> str:
    """Return the type of a collection: the one for which clients ask for data_access, or one for which they do not."""
    return "GCSv5_mapped_collection" if collection.data_access else "GCP_mapped_collection"


def endpoint_document(collection: CollectionSpec) -> Document:
    """Return the endpoint document of a collection (contract section 6)."""
    name = f"{username(OWNER_ID)}#{collection.uuid}"
    document = ENDPOINT | {
        "id": collection.uuid,
        "display_name": collection.name,
        "entity_type": entity_type(collection),
        "name": collection.uuid,
        "username": username(OWNER_ID),
        "canonical_name": name,
    }
    return document | _server_fields(collection) if collection.data_access else document


def _server_fields(collection: CollectionSpec) -> Document:
    """Return the fields of a server, at a host of a domain that leads nowhere for certain (RFC 2606)."""
    host = f"{collection.uuid}.invalid"
    return SERVER_COLLECTION | {
        "tlsftp_server": f"tlsftp://{host}:443",
        "gcs_manager_url": f"https://{host}",
        "DATA": [{"DATA_TYPE": "server", "hostname": host}],
    }
