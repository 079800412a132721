#!/bin/sh
# SPDX-License-Identifier: AGPL-3.0-or-later
# Vérifie ce dossier : sh verifier.sh EMPREINTE
# EMPREINTE : celle du bordereau signé à la main, jamais celle d'un fichier de ce dossier.
# Needs sha256sum and openssl (3.0 or later), nothing else.
set -u
cd "$(dirname "$0")/.." || exit 2
no() { echo "NON CONFORME : $1" >&2; exit 1; }

[ $# -ge 1 ] || { echo "usage : sh verifier.sh EMPREINTE   (l'empreinte est sur le bordereau signé)" >&2; exit 2; }
command -v openssl >/dev/null && command -v sha256sum >/dev/null || { echo "il faut sha256sum et openssl" >&2; exit 2; }
wanted=$(printf '%s' "$*" | tr 'A-F' 'a-f' | tr -cd '0-9a-f')
[ "${#wanted}" -eq 64 ] || { echo "l'empreinte compte 64 chiffres hexadécimaux, pas ${#wanted}" >&2; exit 2; }

[ -f SHA256SUMS ] && [ -f SHA256SUMS.sig ] && [ -f cle-publique.pem ] || no "il manque SHA256SUMS, sa signature ou la clé"
found=$(openssl pkey -pubin -in cle-publique.pem -outform DER 2>/dev/null | sha256sum | cut -d' ' -f1)
[ "$found" = "$wanted" ] || no "la clé de ce dossier n'est pas celle du bordereau (empreinte $found)"
openssl pkeyutl -verify -pubin -inkey cle-publique.pem -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig >/dev/null 2>&1 \
  || no "la signature de SHA256SUMS ne correspond pas"
sha256sum --check --strict --quiet SHA256SUMS || no "un fichier a été modifié, renommé ou retiré"
listed=$(cut -c67- SHA256SUMS | LC_ALL=C sort)
present=$(find . ! -type d | sed 's|^\./||' | grep -v -x -e 'SHA256SUMS' -e 'SHA256SUMS.sig' | LC_ALL=C sort)
[ "$listed" = "$present" ] || no "des fichiers ont été ajoutés ou retirés"
echo "CONFORME : $(printf '%s\n' "$listed" | wc -l | tr -d ' ') fichiers, signature et empreinte vérifiées"
