# SPDX-License-Identifier: AGPL-3.0-or-later
"""What an exhibit package carries for whoever receives it: a shell script and a page that check it offline."""
