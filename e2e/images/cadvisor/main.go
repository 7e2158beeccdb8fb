// cAdvisor's own packages behind /metrics and /healthz, for an image under cAdvisor's name where no registry of images is
// reachable: the official command lives in a nested module that no module proxy serves. Same flags, as far as they are used.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"strings"
	"time"

	_ "github.com/google/cadvisor/container/docker/install"
	"github.com/google/cadvisor/lib/cache/memory"
	"github.com/google/cadvisor/lib/container"
	"github.com/google/cadvisor/lib/manager"
	"github.com/google/cadvisor/lib/metrics"
	info "github.com/google/cadvisor/lib/model"
	"github.com/google/cadvisor/lib/utils/sysfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// What the official command leaves out unless asked.
var unused = container.MetricSet{
	container.CPUSetMetrics:                  {},
	container.CPUTopologyMetrics:             {},
	container.HugetlbUsageMetrics:            {},
	container.MemoryNumaMetrics:              {},
	container.NetworkAdvancedTcpUsageMetrics: {},
	container.NetworkTcpUsageMetrics:         {},
	container.NetworkUdpUsageMetrics:         {},
	container.PerfMetrics:                    {},
	container.ProcessSchedulerMetrics:        {},
	container.ReferencedMemoryMetrics:        {},
	container.ResctrlMetrics:                 {},
}

func main() {
	storeLabels := flag.Bool("store_container_labels", true, "all container labels as metric labels")
	someLabels := flag.String("whitelisted_container_labels", "", "these only, by commas")
	klog.InitFlags(nil)
	flag.Parse()

	included := container.AllMetrics.Difference(unused)
	containers := watch(included)
	labels := metrics.DefaultContainerLabels
	if !*storeLabels {
		labels = metrics.BaseContainerLabels(strings.Split(*someLabels, ","))
	}
	all := info.RequestOptions{IdType: info.TypeName, Count: 1, Recursive: true}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		metrics.NewPrometheusCollector(containers, labels, included, clock.RealClock{}, all),
		metrics.NewPrometheusMachineCollector(containers, included),
	)
	options := promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}
	http.Handle("/metrics", promhttp.HandlerFor(registry, options))
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	klog.Fatal(http.ListenAndServe(":8080", nil))
}

func watch(included container.MetricSet) manager.Manager {
	interval, dynamic := 15*time.Second, true
	housekeeping := manager.HousekeepingConfig{Interval: &interval, AllowDynamic: &dynamic}
	store, system := memory.New(2*time.Minute, nil), sysfs.NewRealSysFs()
	// No prefixes means every container; nil would panic.
	every := []string{""}
	containers, err := manager.New(store, system, housekeeping, included, every, every, "", 0)
	if err != nil {
		klog.Fatal(err)
	}
	if err := containers.Start(); err != nil {
		klog.Fatal(err)
	}
	return containers
}
