# What tests/chart/run asks of an API server. It is sourced there, and takes its functions and variables.
# shellcheck shell=bash disable=SC2154

k() { "$kubectl" -n "$space" "$@"; }
h() { "$helm" -n "$space" "$@" 2>>"$work/helm.log"; }

online() {
  spaces
  others_kinds
  by_the_server
  upgrade
  rotation
  own_certificates
  rights
  uninstall
  [ $failed -eq 0 ] || tail -n 20 "$work/helm.log" >&2
}

# Namespaces as strict as they come. No controller fills them here, and none empties them: names are used once.
spaces() {
  local name
  ! "$helm" -n "$space" status "$release" >/dev/null 2>&1 || "$helm" -n "$space" uninstall "$release" >/dev/null
  for name in "$space" other shop; do
    "$kubectl" create namespace "$name" --dry-run=client -o yaml | "$kubectl" apply -f - >/dev/null
    "$kubectl" label --overwrite namespace "$name" pod-security.kubernetes.io/{enforce,warn}=restricted >/dev/null
  done
  "$kubectl" apply --server-side -f "$root"/tests/cluster/knative-service-crd.yaml >/dev/null
}

# The kinds of cert-manager and of Prometheus' operator, from their own modules.
others_kinds() {
  kinds=yes
  local module file dir
  while read -r module file; do
    dir=$(cd "$work" && go mod download -json "$module" 2>/dev/null | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p') || dir=
    if [ -z "$dir" ]; then
      say "LEFT OUT: the schemas of $module can't be had (go mod download)"
      kinds=
      continue
    fi
    "$kubectl" apply --server-side $(printf -- " -f $dir/%s" $file) >/dev/null || wrong "the kinds of $module"
  done <<'MODULES'
github.com/cert-manager/cert-manager@v1.21.2 deploy/crds/cert-manager.io_certificates.yaml deploy/crds/cert-manager.io_issuers.yaml
github.com/prometheus-operator/prometheus-operator@v0.85.0 example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml
MODULES
  [ -z "$kinds" ] || "$kubectl" wait --for=condition=Established crd --all --timeout=30s >/dev/null
}

# Every object by the server's schemas, unknown fields refused; and Helm's own dry run of it.
by_the_server() {
  local values name
  say "every object by the API server's schemas, and install --dry-run=server"
  # A pod is refused without its account, and a dry run makes none.
  for name in loadgrid grid; do
    k apply --server-side -f - <<<"{apiVersion: v1, kind: ServiceAccount, metadata: {name: $name-operator}}" >/dev/null
  done
  for values in "$here"/values/*.yaml; do
    name=$(basename "$values" .yaml)
    if grep -q '^# api-versions' "$values" && [ -z "$kinds" ]; then
      say "LEFT OUT: $name"
      continue
    fi
    if ! "$kubectl" apply --server-side --force-conflicts --dry-run=server --validate=strict \
      -f "$work/$name.yaml" >"$work/said" 2>&1 || grep -qi 'warning' "$work/said"; then
      grep -v 'server dry run' "$work/said" >&2 || true
      wrong "$name by the API server"
    fi
  done
  for name in loadgrid grid; do k delete serviceaccount $name-operator >/dev/null; done
  for values in "$here"/values/*.yaml; do
    name=$(basename "$values" .yaml)
    grep -q '^# api-versions' "$values" && [ -z "$kinds" ] && continue
    h install "$release" "$chart" -f "$values" --dry-run=server >/dev/null ||
      wrong "install --dry-run=server with $name"
  done
}

# The version before this one: of the last tag, or the first that was committed.
before() {
  local commit
  commit=$(git -C "$root" describe --tags --abbrev=0 --match 'v*' 2>/dev/null) ||
    commit=$(git -C "$root" log --diff-filter=A --format=%H -- charts/loadgrid/Chart.yaml 2>/dev/null | tail -n 1) ||
    commit=
  if [ -n "$commit" ] && git -C "$root" archive "$commit" charts/loadgrid 2>/dev/null | tar -x -C "$work"; then
    say "upgrade from the chart of $commit"
    mv "$work/charts/loadgrid" "$work/before"
  else
    say "upgrade from this chart itself: the history has none before it"
    cp -r "$chart" "$work/before"
  fi
  sed -i 's/^version: .*/version: 0.0.1/' "$work/before/Chart.yaml"
}

# One key of a Secret, decoded: SECRET KEY
key() { k get secret "$release-$1" -o "jsonpath={.data.${2//./\\.}}" | base64 -d; }
# The hash of all that is in the Secrets of the certificates.
secrets_now() {
  k get secret "$release-ca" "$release"-{coordinator,worker,operator}-tls -o jsonpath='{.items[*].data}' | sha256sum
}

replicas() { k get deployment "$release-worker" -o jsonpath='{.spec.replicas}'; }

upgrade() {
  local first ca kept volume
  before
  h install "$release" "$work/before" >"$work/notes" || { wrong "install"; return 0; }
  grep -q "loadgrid run test.yaml --kube $space/$release" "$work/notes" || wrong "the notes name no next command"
  first=$(secrets_now) ca=$(key ca tls.crt)
  # Another version may have other names in the coordinator's certificate. Its CA is the same.
  h upgrade "$release" "$chart" >/dev/null || wrong "upgrade"
  [ "$ca" = "$(key ca tls.crt)" ] || wrong "an upgrade changes the CA"
  kept=$(secrets_now) volume=$(k get pvc "$release-coordinator" -o jsonpath='{.metadata.uid}')
  say "upgrade with other values"
  h upgrade "$release" "$chart" -f "$here/values/nightly.yaml" --set worker.replicas=5,worker.resources.cpu=2 \
    --set dashboard.enabled=true,store.keep=7 --set 'secrets={a}' >/dev/null || wrong "upgrade"
  [ "$kept" = "$(secrets_now)" ] || wrong "an upgrade changes the certificates"
  [ "$volume" = "$(k get pvc "$release-coordinator" -o jsonpath='{.metadata.uid}')" ] ||
    wrong "an upgrade changes the volume"
  ! "$helm" -n "$space" upgrade "$release" "$chart" --set persistence.storageClass=fast >"$work/said" 2>&1 &&
    grep -q "has none, which" "$work/said" || wrong "another class for a volume is not refused"
  [ "$(replicas)" = 5 ] || wrong "an upgrade with worker.replicas"
  k get statefulset "$release-coordinator" -o jsonpath='{.spec.template.spec.containers[0].args}' |
    grep -q -- --keep=7 ||
    wrong "an upgrade with store.keep"
  [ "$(k get cronjob -o name | wc -l)" = 4 ] || wrong "an upgrade with nightly tests"
  k get cronjob "$release-nightly-elsewhere" -o jsonpath='{.spec.jobTemplate.spec.template.spec.containers[0].args}' |
    grep -q -- '"--capacity","--budget=5m","--load-test=shop/hello.v2"' || wrong "the arguments of a nightly search"
  k get configmap "$release-nightly-spec" -o jsonpath='{.data.test\.yaml}' | grep -q 'requests: 3000000$' ||
    wrong "a nightly test's numbers"
  h upgrade "$release" "$chart" --set autoscaling.enabled=true >/dev/null || wrong "upgrade to autoscaling"
  [ "$(replicas)" = 5 ] || wrong "autoscaling sets the replicas back"
  k scale deployment "$release-worker" --replicas=7 >/dev/null
  h upgrade "$release" "$chart" --set autoscaling.enabled=true,store.keep=8 >/dev/null ||
    wrong "upgrade while autoscaling"
  [ "$(replicas)" = 7 ] || wrong "an upgrade sets back what was scaled"
  [ "$(k get hpa "$release-worker" -o jsonpath='{.spec.behavior.scaleDown.selectPolicy}')" = Disabled ] ||
    wrong "autoscaling removes workers"
  # What was scaled is no longer Helm's, and it says so.
  ! "$helm" -n "$space" upgrade "$release" "$chart" --reset-values >"$work/said" 2>&1 &&
    grep -q 'conflict.*replicas' "$work/said" || wrong "an upgrade without autoscaling takes workers away unasked"
  h upgrade "$release" "$chart" --reset-values --force-conflicts >/dev/null || wrong "upgrade without autoscaling"
  [ "$(replicas)" = 2 ] || wrong "an upgrade without autoscaling"
  h rollback "$release" 1 >/dev/null || wrong "rollback"
  [ "$first" = "$(secrets_now)" ] || wrong "a rollback does not bring the certificates back"
}

# Whether a role's certificate is trusted by what another role has of the CA: HOLDER ROLE [NAME]
trusted() {
  key "$1-tls" ca.crt >"$work/ca.pem"
  key "$2-tls" tls.crt >"$work/leaf.pem"
  key "$2-tls" tls.key | openssl pkey -pubout >"$work/key.pub" 2>/dev/null
  openssl x509 -in "$work/leaf.pem" -noout -pubkey | cmp -s - "$work/key.pub" || return 1
  openssl verify -x509_strict -CAfile "$work/ca.pem" ${3:+-verify_hostname "$3"} "$work/leaf.pem" >/dev/null 2>"$work/said"
}

all_trusted() { # when
  local name
  for name in "$release-coordinator" "$release-coordinator-workers" "$release-coordinator.$space.svc.cluster.local" localhost; do
    trusted worker coordinator "$name" ||
      wrong "$1, the worker does not trust the coordinator as $name: $(cat "$work/said")"
  done
  trusted operator coordinator "$release-coordinator" || wrong "$1, the operator does not trust the coordinator"
  trusted coordinator worker worker.role.loadgrid.invalid || wrong "$1, the coordinator does not trust the worker"
  trusted coordinator operator operator.role.loadgrid.invalid || wrong "$1, the coordinator does not trust the operator"
  ! trusted operator worker "$release-coordinator" || wrong "$1, a worker could pass for the coordinator"
}

set_tls() { h upgrade "$release" "$chart" --set "$1" >/dev/null || wrong "upgrade with $1"; }
cas() { key coordinator-tls ca.crt | grep -c BEGIN; }

rotation() {
  local leaf ca
  say "rotation of certificates"
  set_tls tls.helm.rotate= && all_trusted "at first"
  leaf=$(key worker-tls tls.crt) ca=$(key ca tls.crt)
  k get secret "$release-worker-tls" -o jsonpath='{.data}' | grep -q 'ca.key' && wrong "a worker gets the CA's key"
  set_tls tls.helm.rotate=a
  [ "$leaf" != "$(key worker-tls tls.crt)" ] || wrong "rotate signs nothing anew"
  [ "$ca" = "$(key ca tls.crt)" ] || wrong "rotate makes a new CA"
  all_trusted "after rotate"
  leaf=$(key worker-tls tls.crt)
  set_tls tls.helm.rotate=a,tls.helm.rotateCA=b
  [ "$leaf" = "$(key worker-tls tls.crt)" ] && [ "$ca" != "$(key ca tls.crt)" ] && [ "$(cas)" = 2 ] ||
    wrong "rotateCA does not put a new CA beside the old one"
  all_trusted "with a new CA beside the old one"
  set_tls tls.helm.rotate=c,tls.helm.rotateCA=b
  [ "$leaf" != "$(key worker-tls tls.crt)" ] && [ "$(cas)" = 2 ] || wrong "rotate after rotateCA"
  all_trusted "signed by the new CA"
  leaf=$(key worker-tls tls.crt)
  set_tls tls.helm.rotate=c,tls.helm.rotateCA=b,tls.helm.dropOldCA=true
  [ "$leaf" = "$(key worker-tls tls.crt)" ] && [ "$(cas)" = 1 ] || wrong "dropOldCA"
  all_trusted "without the old CA"
  set_tls tls.helm.rotate=c,tls.helm.rotateCA=d,tls.helm.dropOldCA=true
  [ "$leaf" != "$(key worker-tls tls.crt)" ] && [ "$(cas)" = 1 ] || wrong "rotateCA at once"
  all_trusted "after a new CA at once"
  # Within `renewBeforeDays` of the end an upgrade signs anew; other names do as well.
  h upgrade "$release" "$chart" --reuse-values --set tls.helm.days=30,tls.helm.renewBeforeDays=10 >/dev/null
  leaf=$(key worker-tls tls.crt)
  h upgrade "$release" "$chart" --reuse-values --set tls.helm.renewBeforeDays=29 >/dev/null
  [ "$leaf" = "$(key worker-tls tls.crt)" ] || wrong "signed anew too early"
  k annotate --overwrite secret "$release-worker-tls" "loadgrid.dev/not-after=$(($(date +%s) + 28 * 86400))" >/dev/null
  h upgrade "$release" "$chart" --reuse-values --force-conflicts >/dev/null ||
    wrong "upgrade near the end of a certificate"
  [ "$leaf" != "$(key worker-tls tls.crt)" ] || wrong "not signed anew near its end"
  h upgrade "$release" "$chart" --reuse-values --set 'tls.extraNames={grid.example.com}' >/dev/null
  trusted worker coordinator grid.example.com || wrong "tls.extraNames"
}

own_certificates() {
  local role mode="tls.mode=existing"
  say "certificates that others made"
  for role in coordinator worker operator; do
    mode+=",tls.existing.$role=our-$role"
    key "$role-tls" tls.crt >"$work/$role.crt"
    k create secret generic "our-$role" --from-file={ca,tls}.crt="$work/$role.crt" --dry-run=client -o yaml |
      k apply -f - >/dev/null
  done
  ! "$helm" -n "$space" upgrade "$release" "$chart" --set "$mode" >"$work/said" 2>&1 &&
    grep -q 'tls.existing.operator: the Secret our-operator has no tls.key: add it' "$work/said" ||
    wrong "a Secret without a key is not refused: $(cat "$work/said")"
  for role in coordinator worker operator; do
    k create secret generic "our-$role" --from-file={ca.crt,tls.crt,tls.key}="$work/$role.crt" --dry-run=client -o yaml |
      k apply -f - >/dev/null
  done
  set_tls "$mode"
  [ "$(k get statefulset "$release-coordinator" -o jsonpath='{.metadata.annotations.loadgrid\.dev/operator-secret}')" = our-operator ] ||
    wrong "the coordinator does not name the operator's Secret"
  h uninstall "$release" >/dev/null && h install "$release" "$chart" >/dev/null || wrong "install over kept results"
  k delete secret our-{coordinator,worker,operator} >/dev/null
}

# may yes|no ACCOUNT VERB RESOURCE[/NAME][:SUBRESOURCE] [NAMESPACE]
may() {
  local said sub=
  [[ $4 != *:* ]] || sub=--subresource=${4#*:}
  said=$("$kubectl" auth can-i "$3" "${4%:*}" $sub --as "$2" --as-group system:authenticated -n "${5:-$space}" 2>/dev/null) || true
  [ "$said" = "$1" ] || wrong "$2: $3 $4 in ${5:-$space}: $said, not $1"
}

rights() {
  local own="system:serviceaccount:$space:$release" verb
  say "rights"
  h upgrade "$release" "$chart" -f "$here/values/nightly.yaml" --set 'operator.subjects[0].kind=User' \
    --set 'operator.subjects[0].name=ada' --set "controller.namespaces={$space,shop}" >/dev/null ||
      wrong "upgrade with operators"
  for verb in get list watch update patch; do may yes "$own-coordinator" $verb loadtests.loadgrid.dev shop; done
  may yes "$own-coordinator" patch loadtests.loadgrid.dev:status
  may yes "$own-coordinator" update loadtests.loadgrid.dev:finalizers
  may yes "$own-coordinator" create leases.coordination.k8s.io
  may no "$own-coordinator" create leases.coordination.k8s.io shop
  may yes "$own-coordinator" watch services.serving.knative.dev shop
  may yes "$own-coordinator" create events.events.k8s.io shop
  for verb in create delete; do may no "$own-coordinator" $verb loadtests.loadgrid.dev; done
  may no "$own-coordinator" get secrets && may no "$own-coordinator" get configmaps
  may no "$own-coordinator" list pods
  may no "$own-coordinator" get loadtests.loadgrid.dev other && may no "$own-coordinator" update deployments.apps
  may no "$own-coordinator" list namespaces && may no "$own-coordinator" create pods
  for verb in loadtests.loadgrid.dev pods secrets leases.coordination.k8s.io configmaps; do
    may no "$own-worker" get $verb && may no "$own-operator" get $verb
  done
  may yes ada get "secrets/$release-operator-tls" && may no ada get "secrets/$release-ca" && may no ada list secrets
  may no ada get "secrets/$release-worker-tls"
  # A tunnel to the coordinator, and to nothing else that runs beside it.
  for verb in get create; do
    may yes ada $verb "pods/$release-coordinator-0:portforward" && may no ada $verb pods/database-0:portforward
    may no ada $verb pods:portforward
  done
  may yes ada list statefulsets.apps && may no ada create pods:exec && may no ada create pods && may no ada delete pods
  may yes ada create loadtests.loadgrid.dev shop && may no ada create loadtests.loadgrid.dev other
  may no ada patch loadtests.loadgrid.dev:status shop && may no eve get "secrets/$release-operator-tls"
  may yes "$own-nightly-elsewhere" get loadtests.loadgrid.dev/hello.v2 shop
  may no "$own-nightly-elsewhere" get loadtests.loadgrid.dev/x shop
  may no "$own-nightly-elsewhere" list loadtests.loadgrid.dev shop && may no "$own-nightly-elsewhere" get secrets
  h upgrade "$release" "$chart" -f "$here/values/all-namespaces.yaml" >/dev/null || wrong "upgrade to all namespaces"
  may yes "$own-coordinator" watch loadtests.loadgrid.dev other
  may no "$own-coordinator" create leases.coordination.k8s.io other
  h upgrade "$release" "$chart" --set coordinator.leaseNamespace=other >/dev/null || wrong "upgrade to other Leases"
  for verb in get create update delete; do may yes "$own-coordinator" $verb leases.coordination.k8s.io other; done
  may no "$own-coordinator" create leases.coordination.k8s.io
}

uninstall() {
  say "uninstall"
  h uninstall "$release" >/dev/null || wrong "uninstall"
  [ -n "$(k get pvc "$release-coordinator" -o name)" ] &&
    [ -z "$(k get pvc "$release-coordinator" -o jsonpath='{.metadata.deletionTimestamp}')" ] ||
    wrong "the results are gone with the release"
  "$kubectl" get crd loadtests.loadgrid.dev >/dev/null 2>&1 || wrong "the kind is gone with the release"
  "$kubectl" apply --server-side --force-conflicts -f "$chart/crds" >/dev/null || wrong "an upgrade of the kind"
  [ -z "$(k get statefulset,deployment,secret,service,networkpolicy,role -l app.kubernetes.io/instance="$release" -o name)" ] ||
    wrong "uninstall leaves objects behind"
}
