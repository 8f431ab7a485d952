{{/* Certificates that the chart makes. What there is in the cluster is kept; without one (`helm template`, a dry run of
     the client) everything is new each time. */}}

{{/* The CA in use: (certificate, key, previous), PEM in base64, and whether its Secret is to be kept as it is.
     As JSON. A new CA is trusted beside the previous one until dropOldCA. */}}
{{- define "loadgrid.tls.ca" -}}
{{- $helm := .Values.tls.helm -}}
{{- $found := lookup "v1" "Secret" .Release.Namespace (printf "%s-ca" (include "loadgrid.fullname" .)) -}}
{{- $data := $found.data | default dict -}}
{{- $notes := dig "metadata" "annotations" dict $found | default dict -}}
{{- if and (index $data "tls.crt") (eq (index $notes "loadgrid.dev/rotate-ca" | default "") (toString $helm.rotateCA)) -}}
{{- dict "certificate" (index $data "tls.crt") "key" (index $data "tls.key") "until" (index $notes "loadgrid.dev/not-after")
    "previous" ($helm.dropOldCA | ternary "" (index $data "previous.crt" | default "")) | toJson -}}
{{- else -}}
{{- $made := genCAWithKey "loadgrid CA" (int $helm.caDays) (genPrivateKey "ecdsa") -}}
{{- dict "certificate" (b64enc $made.Cert) "key" (b64enc $made.Key) "until" (include "loadgrid.tls.until" $helm.caDays)
    "previous" ($helm.dropOldCA | ternary "" (index $data "tls.crt" | default "")) | toJson -}}
{{- end -}}
{{- end -}}

{{/* The end of so many days from now, seconds since 1970. */}}
{{- define "loadgrid.tls.until" -}}
{{- add (now | unixEpoch | int64) (mul 86400 (int64 .)) -}}
{{- end -}}

{{/* A role's certificate: (dict "root" $ "role" "worker" "ca" …). As JSON: data and annotations of its Secret.
     Signed anew when its names or `rotate` changed, when its end is near, or when its CA is trusted no more. */}}
{{- define "loadgrid.tls.leaf" -}}
{{- $helm := .root.Values.tls.helm -}}
{{- $found := lookup "v1" "Secret" .root.Release.Namespace (include "loadgrid.certificate" .) -}}
{{- $data := $found.data | default dict -}}
{{- $notes := dig "metadata" "annotations" dict $found | default dict -}}
{{- $names := dict "dns" list "ips" list -}}
{{- if eq .role "coordinator" -}}{{- $names = include "loadgrid.servernames" .root | fromJson -}}{{- end -}}
{{- $dns := append $names.dns (printf "%s.role.loadgrid.invalid" .role) -}}
{{- $from := printf "%s %s %d %s" (toJson $dns) (toJson $names.ips) (int $helm.days) (toString $helm.rotate) | sha256sum | trunc 16 -}}
{{- $issuer := .ca.certificate | sha256sum | trunc 16 -}}
{{- $trusted := list $issuer -}}
{{- with .ca.previous -}}{{- $trusted = append $trusted (. | sha256sum | trunc 16) -}}{{- end -}}
{{- $left := sub (index $notes "loadgrid.dev/not-after" | default "0" | int64) (now | unixEpoch | int64) -}}
{{- $ca := printf "%s%s" (b64dec .ca.certificate) (b64dec .ca.previous) | b64enc -}}
{{- if and (index $data "tls.crt") (eq (index $notes "loadgrid.dev/made-from" | default "") $from)
    (has (index $notes "loadgrid.dev/issuer") $trusted) (gt $left (mul 86400 (int64 $helm.renewBeforeDays))) -}}
{{- dict "data" (dict "ca.crt" $ca "tls.crt" (index $data "tls.crt") "tls.key" (index $data "tls.key"))
    "annotations" (pick $notes "loadgrid.dev/made-from" "loadgrid.dev/issuer" "loadgrid.dev/not-after") | toJson -}}
{{- else -}}
{{- $signer := buildCustomCert .ca.certificate .ca.key -}}
{{- $made := genSignedCertWithKey (printf "loadgrid %s" .role) $names.ips $dns (int $helm.days) $signer (genPrivateKey "ecdsa") -}}
{{- dict "data" (dict "ca.crt" $ca "tls.crt" (b64enc $made.Cert) "tls.key" (b64enc $made.Key))
    "annotations" (dict "loadgrid.dev/made-from" $from "loadgrid.dev/issuer" $issuer
      "loadgrid.dev/not-after" (include "loadgrid.tls.until" $helm.days)) | toJson -}}
{{- end -}}
{{- end -}}
