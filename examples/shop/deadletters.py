# SPDX-License-Identifier: Apache-2.0
"""Prints what could not be delivered, and why."""
import json

from events import serve


def keep(attributes, data):
    print(f"{attributes['type']} {attributes['id']} was given up: {attributes.get('knativeerrordest')} answered "
          f"{attributes.get('knativeerrorcode')}. It was {json.dumps(data)}", flush=True)


serve(keep)
