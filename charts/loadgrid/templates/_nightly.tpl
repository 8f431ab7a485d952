{{/* The arguments of `loadgrid nightly`: (dict "root" $ "night" …) */}}
{{- define "loadgrid.nightly.arguments" -}}
{{- $night := .night -}}
- --grid={{ include "loadgrid.grid" .root }}
- --tls-dir=/etc/loadgrid/tls
{{- if $night.capacity }}
- --capacity
{{- if kindIs "map" $night.capacity }}
{{- range $key := list "max" "precision" "budget" }}
{{- with index $night.capacity $key }}
- {{ printf "--%s=%s" $key . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with int $night.workers }}
- --workers={{ . }}
{{- end }}
{{- if $night.always }}
- --always
{{- end }}
{{- with $night.notify }}
{{- if .slack }}
- --slack-url-file=/etc/loadgrid/notify/slack/url
{{- end }}
{{- with .github }}
- --github={{ .owner }}/{{ .repo }}
- --github-token-file=/etc/loadgrid/notify/github/token
{{- end }}
{{- with .webhook }}
- {{ printf "--webhook=%s" .url | quote }}
{{- if .secretName }}
- --webhook-token-file=/etc/loadgrid/notify/webhook/token
{{- end }}
{{- end }}
{{- end }}
{{- if $night.loadTest }}
- --load-test={{ include "loadgrid.nightly.loadtest" . }}
{{- else }}
- /etc/loadgrid/test/test.yaml
{{- end }}
{{- end -}}

{{/* NAMESPACE/NAME of a LoadTest; a bare name is of the release's namespace. */}}
{{- define "loadgrid.nightly.loadtest" -}}
{{- if contains "/" .night.loadTest -}}
{{- .night.loadTest -}}
{{- else -}}
{{- printf "%s/%s" .root.Release.Namespace .night.loadTest -}}
{{- end -}}
{{- end -}}

{{/* The ports of webhooks that networkPolicy.outside does not have. Slack's and GitHub's is 443. As JSON. */}}
{{- define "loadgrid.nightly.ports" -}}
{{- $open := list -}}
{{- range .Values.networkPolicy.outside.ports -}}{{- $open = append $open (int .) -}}{{- end -}}
{{- $ports := list -}}
{{- range .Values.nightly -}}
{{- with dig "notify" "webhook" "url" "" . -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (eq $url.scheme "https" | ternary "443" "80") | int -}}
{{- if not (has $port $open) -}}{{- $ports = append $ports $port -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}
