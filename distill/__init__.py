"""Distillation: losses, teachers, training, and the tables of accuracies that proxies are judged by."""
