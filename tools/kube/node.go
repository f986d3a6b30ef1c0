//go:build !controlplane

package main

import (
	"context"

	"github.com/spf13/cobra"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// What brings pods to a node and runs them there. Tests against another
// version of Kubernetes have no nodes; there it would only take time to build,
// and its functions change from version to version.
func init() {
	daemons["scheduler"] = func() *cobra.Command { return scheduler.NewSchedulerCommand() }
	daemons["proxy"] = proxy.NewProxyCommand
	daemons["kubelet"] = func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }
}
