"""What one writes without us: list, submit one task, poll. Prints the seconds it took, imports not counted."""

from __future__ import annotations

import os
import sys
import time

import globus_sdk


def main() -> None:
    """Move one collection's path to another's."""
    began = time.monotonic()
    (source, source_path), (destination, destination_path) = (argument.split(":", 1) for argument in sys.argv[1:3])
    login = globus_sdk.ConfidentialAppAuthClient("6b9a7bd2-1c4e-4f0b-9d38-2f3f36f0b9a1", os.urandom(8).hex())
    authorizer = globus_sdk.ClientCredentialsAuthorizer(login, globus_sdk.TransferClient.scopes.all)
    client = globus_sdk.TransferClient(authorizer=authorizer)
    data = globus_sdk.TransferData(source, destination, verify_checksum=True)
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for entry in client.operation_ls(source, path=f"{source_path}{folder}"):
            path = f"{folder}{entry['name']}"
            if entry["type"] == "dir":
                waiting.append(f"{path}/")
            else:
                data.add_item(f"{source_path}{path}", f"{destination_path}{path}")
    task = client.submit_transfer(data)["task_id"]
    while (status := client.get_task(task)["status"]) == "ACTIVE":
        time.sleep(0.5)
    print(status, time.monotonic() - began)


if __name__ == "__main__":
    main()
